import Testing

@Suite struct AllyRingsPlaceholder {}
