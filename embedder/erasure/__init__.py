"""Erasing a person: what identifies them, how it is searched for in files, and the protocol that every artefact
implements beside its own reader and writer (`protocol.Artefact`)."""
