"""Galleries of vectors: exact and inverted-file FAISS, and PostgreSQL with pgvector, behind one interface."""
