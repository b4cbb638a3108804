"""Where incidents are sent: providers that page, channels that are notified."""
