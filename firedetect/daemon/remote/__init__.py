"""What is said to the cloud, and what comes from afar: settings, alarms, jobs."""
