/// `threshold` and `detection_filter`.
enum ThresholdKeywords {
  static let table: [Keyword] = [
    Keyword("threshold", .plain) { builder, option throws(RuleSyntaxError) in
      let text = try ThresholdText(option.value.separated())
      try text.allow(["type", "track", "count", "seconds"])
      try set(try text.threshold(at: option.value), in: &builder, option)
    },
    Keyword("detection_filter", .plain, isUnique: true) { builder, option throws(RuleSyntaxError) in
      let text = try ThresholdText(option.value.separated())
      try set(try text.detectionFilter(at: option.value), in: &builder, option)
    },
  ]

  private static func set(
    _ threshold: Threshold, in builder: inout RuleBuilder, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    guard let earlier = builder.rule.threshold else {
      builder.update { $0.threshold = threshold }
      return
    }
    guard option.name == "threshold", earlier.kind != .detectionFilter else {
      throw option.keyword.error("expected only one of 'threshold' and 'detection_filter' in a rule")
    }
    builder.update { $0.furtherThresholds.append(threshold) }
  }
}
