"""The rules, pure: no clock, no store, no network."""
