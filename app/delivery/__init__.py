"""Everything that is sent: pages, notifications, summaries; each claimed, sent and recorded."""
