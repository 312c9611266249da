"""The HTTP API and the local pages: app, engine, uploads, and the guard of who may ask."""
