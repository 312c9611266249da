"""Photos become faces, and faces embeddings: reading, detection, FaceNet, embedding sets. Imports no other room."""
