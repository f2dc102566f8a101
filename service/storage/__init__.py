"""Blobs on disk and in the database together: keeping an upload, and deleting what nothing needs."""
