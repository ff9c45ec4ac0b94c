import Testing

@Suite struct AllyPacketPlaceholder {}
