"""How files are kept: atomic writes, manifests with checksums, locks, and the cache of steps of resuming jobs."""
