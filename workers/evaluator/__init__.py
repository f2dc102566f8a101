"""The process that computes: it parses models and data nobody has checked, holds no credentials and may be killed."""
