"""Its tests share what their conftest starts, and it ends with the last of them."""
