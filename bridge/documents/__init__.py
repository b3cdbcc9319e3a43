"""State to what others read: pure documents."""
