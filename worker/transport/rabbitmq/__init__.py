"""RabbitMQ, by way of kombu's own transport; see docs/adr/0007-rabbitmq.md."""
