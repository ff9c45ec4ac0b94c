import Testing

@Suite struct AllyFirewallPlaceholder {}
