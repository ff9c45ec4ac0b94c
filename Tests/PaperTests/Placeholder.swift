import Testing

@Suite struct PaperPlaceholder {}
