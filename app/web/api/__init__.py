"""What programs call, and the link that people get."""
