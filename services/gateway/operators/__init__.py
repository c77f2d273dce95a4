"""What operators see of all services at once, put together out of the answers of each."""
