import Testing

@Suite struct AllyDPIPlaceholder {}
