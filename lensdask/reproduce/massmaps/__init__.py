"""What the experiments on mass maps share: fields, networks, planted masses."""
