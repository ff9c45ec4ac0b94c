import Testing

@Suite struct AllyToolsPlaceholder {}
