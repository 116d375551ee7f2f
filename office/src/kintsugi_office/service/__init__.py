"""``kintsugi service``: a country's own service, made, checked and taken away again."""
