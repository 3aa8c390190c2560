"""Online features straight from Redis: what is asked, where it lies, what is answered."""
