"""The web: FastAPI over the use cases. Nothing here is imported before a server is asked for."""
