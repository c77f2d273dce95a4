"""The kernel: decides which waiting request runs next and on which worker, and hands it over."""
