"""What every service may use; nothing here knows a service."""
