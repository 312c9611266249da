"""How files are kept: atomic files and folders, manifests with checksums, locks, and the one cache of resuming jobs."""
