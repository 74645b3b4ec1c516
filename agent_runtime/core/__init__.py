"""The pure core: values and rules, without input, output or a clock."""
