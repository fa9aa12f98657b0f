"""The studio: the pages and their API, over the use cases of `workflow.studio`."""
