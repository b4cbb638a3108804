"""Whether the service works, and trying it out."""
