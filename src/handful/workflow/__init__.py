"""The use cases. Command line, web and Python call these and nothing else; stages are imported when they are needed."""
