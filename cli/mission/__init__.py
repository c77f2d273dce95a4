"""The demo's mission: customers judge a desk, it learns from them, and what is worse is stopped."""
