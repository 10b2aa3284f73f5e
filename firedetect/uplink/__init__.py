"""The link to AWS IoT Core: everything that leaves the device or comes from afar."""
