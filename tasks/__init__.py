"""When it happens: the Celery worker, its one task, and its sweeper."""
