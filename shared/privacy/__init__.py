"""Personal data: sealed on every topic and at rest, opened only by those who may see its class."""
