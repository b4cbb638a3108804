"""Webhooks become incidents."""
