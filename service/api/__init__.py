"""The HTTP interface ``/v1``: what comes in over HTTP and what goes out; the work is done by the use cases."""
