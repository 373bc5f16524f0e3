"""What both doors stand on: settings, connections, batching, and how trouble is logged."""
