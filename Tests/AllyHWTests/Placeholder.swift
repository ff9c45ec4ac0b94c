import Testing

@Suite struct AllyHWPlaceholder {}
