internal import AllyPacket

/// Turns rules into ``DetectionTables``.
struct RuleCompiler {
  private(set) var problems: [RuleProblem] = []
  private(set) var records: [SignatureRecord] = []

  private var signatures: [Signature] = []
  private var signatureRecords: [UInt32] = []
  private var tests: [PacketTest] = []
  private var steps: [PayloadStep] = []
  private var headerSteps: [HeaderSteps] = []
  private var changes: [StateChange] = []
  private var bitNumbers: [UInt32] = []
  private var literals: [UInt8] = []
  private var patterns: [CompiledPattern] = []
  private var captures: [CaptureRule] = []
  private var addressLists: [TableRange] = []
  private var addresses: [DetectionTables.AddressInterval] = []
  private var portLists: [TableRange] = []
  private var ports: [DetectionTables.PortInterval] = []
  private var thresholds: [ThresholdRule] = []
  private var rateFilters: [RateFilterRule] = []
  private var suppressions: [SuppressionTest] = []
  private var tags: [TagRule] = []
  private var frames: [FrameSignature] = []
  private var transforms: [TransformChain] = []
  private var dataSets = DataSetCompiler()
  private var trustsChecksums = false
  private var reputationCategories: [String: UInt8] = [:]
  private var asn1Depth: UInt16 = 0
  private var conditions: [ApplicationCondition] = []
  private var numberRanges: [DetectionTables.NumberRange] = []
  private var fileDigests = FileDigestLists()
  private var fileNeeds = DetectionTables.FileNeeds()
  private var variableCount = 0
  private var prefilter = PrefilterBuilder()
  private var bufferSteps: [BufferSteps] = []
  /// For each signature its range of `bufferSteps`.
  private var bufferRanges: [TableRange] = []
  private var applicationPrefilter = ApplicationPrefilterBuilder()

  private var addressListNumbers: [[IPAddress]: UInt32] = [:]
  private var portListNumbers: [[UInt16]: UInt32] = [:]
  private var flowBitNumbers: [String: UInt32] = [:]
  private var hostBitNumbers: [String: UInt32] = [:]
  private var integerNumbers: [String: UInt32] = [:]
  private var variableNumbers: [String: UInt32] = [:]
  private var transformNumbers: [[BufferTransform]: UInt32] = [:]

  /// Compiles rules; those that cannot be become ``problems``.
  ///
  /// - Throws: when a library refuses as a whole. Then nothing is left allocated.
  mutating func compile(_ rules: [Rule], _ configuration: DPIConfiguration) throws(DetectionProgramError)
    -> DetectionTables
  {
    trustsChecksums = configuration.trustsChecksums
    reputationCategories = configuration.addressReputations.categories
    asn1Depth = configuration.asn1Depth
    dataSets = DataSetCompiler(configuration.dataSets)
    dataSets.readResource = configuration.readResource
    fileDigests.readResource = configuration.readResource
    for rule in SignatureOrder.sorted(rules, actionOrder: configuration.actionOrder) {
      do {
        try add(rule)
      } catch {
        problems.append(error)
      }
    }
    let ends = EndTables(
      signatures, addressLists: addressLists.map { $0.indices.map { (addresses[$0].first, addresses[$0].last) } },
      portLists: portLists.map { $0.indices.map { (ports[$0].first, ports[$0].last) } })
    let compiler = DatabaseCompiler(
      target: configuration.limitsVectorsToAVX2 ? .avx2 : .host, cache: configuration.databaseCache)
    let prefilterTables: PrefilterTables
    let applicationTables: ApplicationTables
    do throws(DetectionProgramError) {
      prefilterTables = try prefilter.build(compiler: compiler)
      do throws(DetectionProgramError) {
        applicationTables = try applicationPrefilter.build(
          buffers: bufferSteps, bufferRanges: bufferRanges, compiler: compiler)
      } catch {
        unsafe prefilterTables.deallocate()
        throw error
      }
    } catch {
      unsafe ends.deallocate()
      for pattern in patterns { unsafe pattern.deallocate() }
      for chain in transforms { unsafe chain.deallocate() }
      throw error
    }
    return DetectionTables(
      signatures: ConstantTable(signatures), records: ConstantTable(signatureRecords),
      recordCount: records.count,
      identities: ConstantTable(signatureRecords.map { records[Int($0)].identity }), tests: ConstantTable(tests),
      steps: ConstantTable(steps), headerSteps: ConstantTable(headerSteps), changes: ConstantTable(changes),
      bitNumbers: ConstantTable(bitNumbers), literals: ConstantTable(literals), patterns: ConstantTable(patterns),
      captures: ConstantTable(captures),
      addressLists: ConstantTable(addressLists), addresses: ConstantTable(addresses),
      portLists: ConstantTable(portLists), ports: ConstantTable(ports), thresholds: ConstantTable(thresholds),
      rateFilters: ConstantTable(rateFilters), suppressions: ConstantTable(suppressions),
      reputations: ReputationTable(configuration.addressReputations),
      numberRanges: ConstantTable(numberRanges), digests: ConstantTable(fileDigests.bytes), fileNeeds: fileNeeds,
      ends: ends, prefilter: prefilterTables, application: applicationTables, frames: ConstantTable(frames),
      conditions: conditions,
      tags: ConstantTable(tags),
      transforms: transforms,
      dataSets: dataSets.definitions, variableCount: variableCount)
  }

  /// The names of flow bits, of host bits and of flow integers, by their numbers.
  var flowBitNames: [String] { RuleCompiler.names(flowBitNumbers) }
  var hostBitNames: [String] { RuleCompiler.names(hostBitNumbers) }
  var integerNames: [String] { RuleCompiler.names(integerNumbers) }

  var variableNames: [String] { RuleCompiler.names(variableNumbers) }

  /// - Parameter former: the rules that these take the place of: what flows and hosts remember keeps its number.
  init(following former: DetectionProgram? = nil) {
    guard let former else { return }
    flowBitNumbers = RuleCompiler.numbers(former.flowBitNames)
    hostBitNumbers = RuleCompiler.numbers(former.hostBitNames)
    integerNumbers = RuleCompiler.numbers(former.integerNames)
    variableNumbers = RuleCompiler.numbers(former.variableNames)
  }

  private static func numbers(_ names: [String]) -> [String: UInt32] {
    Dictionary(uniqueKeysWithValues: names.enumerated().map { ($0.element, UInt32($0.offset)) })
  }

  private static func names(_ numbers: [String: UInt32]) -> [String] {
    numbers.sorted { $0.value < $1.value }.map(\.key)
  }

  // MARK: one rule

  private mutating func add(_ rule: Rule) throws(RuleProblem) {
    var traits = RuleTraits(rule)
    if traits.kind == .frame { try checkFrames(of: rule) }
    let compiled = try compileOptions(of: rule)
    let source = addressList(rule.source)
    let destination = addressList(rule.destination)
    let sourcePorts = portList(rule.sourcePorts)
    let destinationPorts = portList(rule.destinationPorts)
    var actions = Actions(rule.action)
    if rule.alsoAlerts { actions.insert(.alert) }
    if rule.noAlert { actions.remove(.alert) }
    if traits.kind == .payload && traits.data.isEmpty { traits.data = .packet }

    var signature = Signature(
      actions: actions, kind: traits.kind, protocolFilter: ProtocolFilter(rule.ruleProtocol), flow: traits.flow,
      data: traits.data, source: source, destination: destination, sourcePorts: sourcePorts,
      destinationPorts: destinationPorts, tests: compiled.tests, payload: compiled.payload, headers: compiled.headers,
      changes: compiled.changes, thresholds: thresholds(of: rule), rateFilter: Signature.any,
      suppressions: suppressions(of: rule), hasAbsolutePositions: traits.hasAbsolutePositions)
    if rule.storesFiles {
      signature.storesFiles = true
      fileNeeds.store = true
    }
    if let protocols = rule.applicationProtocols {
      let mask = ApplicationMask(bits: ApplicationParsers.mask(of: protocols))
      if rule.servicesReplacePorts { signature.services = mask.bits }
      // A rule with services is about flows whose protocol is not known, too; its transactions are of known ones.
      if !rule.servicesReplacePorts || traits.kind == .transaction { signature.applications = mask }
    }
    signature.countsFromStreamStart = traits.countsFromStreamStart
    signature.bypasses = rule.bypasses
    signature.silencesRecord = rule.silencesRecord
    if let tag = rule.tag {
      signature.tags = TableRange(start: UInt32(tags.count), count: UInt32(1 + rule.furtherTags.count))
      tags += ([tag] + rule.furtherTags).map(TagRule.init)
    }
    if let filter = rule.rateFilter {
      signature.rateFilter = UInt32(rateFilters.count)
      rateFilters.append(RateFilterRule(filter))
    }
    let record = UInt32(records.count)
    records.append(SignatureRecord(rule))
    variableCount = max(variableCount, rule.byteVariables.count)

    let buffers = compiled.buffers
    append(signature, buffers, record: record, rule)
    // `<>` with two equal sides says no more than `->`.
    let isMirror = rule.source == rule.destination && rule.sourcePorts == rule.destinationPorts
    if rule.direction == .both && !isMirror {
      var mirrored = rule
      swap(&mirrored.source, &mirrored.destination)
      swap(&mirrored.sourcePorts, &mirrored.destinationPorts)
      swap(&signature.source, &signature.destination)
      swap(&signature.sourcePorts, &signature.destinationPorts)
      append(signature, buffers, record: record, mirrored)
    }
  }

  private mutating func append(_ signature: Signature, _ buffers: TableRange, record: UInt32, _ rule: Rule) {
    let rank = UInt32(signatures.count)
    if signature.kind == .frame {
      frames += frameSignatures(of: rule).map { FrameSignature(signature: rank, application: $0.0, type: $0.1) }
    } else if signature.kind == .transaction {
      applicationPrefilter.add(
        ApplicationPrefilterBuilder.Entry(
          signature: rank, applications: signature.applications.bits, flow: signature.flow,
          buffers: buffers.indices.map { bufferSteps[$0].buffer }, pattern: searched(in: rule),
          anchor: AnchoredLiteral.best(of: rule) { $0.buffer.origin == .transaction && $0.transforms.isEmpty }
            .map { ApplicationAnchor(buffer: $0.view.buffer, literal: $0.literal) },
          hasEvents: rule.options.contains {
            if case .applicationEvent(let event) = $0 { event.protocols != nil } else { false }
          },
          hasConditions: signature.tests.indices.contains { tests[$0].isAboutTransaction || tests[$0].isOfTransaction })
      )
    } else {
      prefilter.add(
        PrefilterBuilder.Entry(
          signature: rank, kind: signature.kind, data: signature.data,
          countsFromStreamStart: signature.countsFromStreamStart, protocolFilter: signature.protocolFilter,
          flow: signature.flow, applications: signature.applications,
          pattern: FastPattern.best(of: rule), anchored: payloadAnchor(of: rule), source: rule.source,
          destination: rule.destination,
          sourcePorts: signature.services == 0 ? rule.sourcePorts : .any,
          destinationPorts: signature.services == 0 ? rule.destinationPorts : .any))
    }
    signatures.append(signature)
    signatureRecords.append(record)
    bufferRanges.append(buffers)
  }

  /// The frames that a rule is about, with their protocols' places; none when no protocol of the rule has them.
  private func frameSignatures(of rule: Rule) -> [(UInt8, UInt8)] {
    let name = rule.options.lazy.compactMap { $0.view?.parameter }.first ?? ""
    var found: [(UInt8, UInt8)] = []
    for (place, parser) in ApplicationParsers.all.enumerated()
    where rule.applicationProtocols?.contains(parser.applicationProtocol) ?? false {
      guard let type = parser.frameTypes.firstIndex(where: { $0.description == name }) else { continue }
      found.append((UInt8(place), UInt8(type)))
    }
    return found
  }

  /// A rule on frames is about one kind of them, and about nothing of a transaction.
  private func checkFrames(of rule: Rule) throws(RuleProblem) {
    var reason: String?
    let views = rule.options.compactMap(\.view).filter { $0.buffer == .frame }
    if Set(views.map(\.parameter)).count > 1 { reason = "frame: expected frames of one name in a rule" }
    if rule.options.contains(where: { $0.isAboutTransactions && $0.view?.buffer != .frame }) {
      reason = "frame: expected no option about an application's messages beside one about a frame"
    }
    if rule.options.contains(where: { $0.view?.buffer == .payload }) {
      reason = "frame: expected no option about the payload beside one about a frame"
    }
    if reason == nil && frameSignatures(of: rule).isEmpty {
      reason = "frame: no frame is named \"\(views.first?.parameter ?? "")\""
    }
    guard let reason else { return }
    throw RuleProblem(location: rule.location, sid: rule.sid, reason: reason, isUnsupported: true)
  }

  /// What ends a payload may stand anywhere in a stream.
  private func payloadAnchor(of rule: Rule) -> AnchoredLiteral? {
    let anchored = AnchoredLiteral.best(of: rule) { $0 == .payload }?.literal
    return anchored.flatMap { $0.needsEnd ? nil : $0 } ?? AnchoredLiteral.anywhere(in: rule)
  }

  /// The literal that a rule on transactions is found by. Transforms of its view have a number already.
  private func searched(in rule: Rule) -> (literal: FastPattern, view: ApplicationPrefilterBuilder.SearchedView)? {
    FastPattern.bestInTransaction(of: rule).map { pattern, view in
      let transform = view.transforms.isEmpty ? Signature.any : transformNumbers[view.transforms] ?? Signature.any
      return (pattern, ApplicationPrefilterBuilder.SearchedView(buffer: view.buffer, transform: transform))
    }
  }

  private mutating func thresholds(of rule: Rule) -> TableRange {
    let start = thresholds.count
    if let threshold = rule.threshold { thresholds.append(ThresholdRule(threshold)) }
    thresholds += rule.furtherThresholds.map(ThresholdRule.init)
    return TableRange(start: UInt32(start), count: UInt32(thresholds.count - start))
  }

  private mutating func suppressions(of rule: Rule) -> TableRange {
    let start = suppressions.count
    for suppression in rule.suppressions {
      suppressions.append(SuppressionTest(side: suppression.side, addresses: addressList(suppression.addresses)))
    }
    return TableRange(start: UInt32(start), count: UInt32(suppressions.count - start))
  }

  // MARK: options

  private struct CompiledOptions {
    var tests: TableRange
    var payload: TableRange
    var headers: TableRange
    /// Into `bufferSteps`.
    var buffers: TableRange
    var changes: TableRange
  }

  private mutating func compileOptions(of rule: Rule) throws(RuleProblem) -> CompiledOptions {
    let firstTest = tests.count
    let firstChange = changes.count
    // In the order in which the rule first speaks of them.
    var lists: [(view: BufferView, steps: [PayloadStep])] = []
    for option in rule.options {
      if option.view?.buffer == .fileMagic { fileNeeds.magic = true }
      if let (_, step) = try step(for: option, of: rule), let view = option.view {
        if let index = lists.firstIndex(where: { $0.view == view }) {
          lists[index].steps.append(step)
        } else {
          lists.append((view, [step]))
        }
      } else if let test = try test(for: option, of: rule) {
        tests.append(test)
      } else {
        appendChanges(for: option)
      }
    }
    if rule.storesFiles { tests.append(.file(.exists)) }
    // What is done with decoded bytes belongs to the step that decodes them.
    let decoded = append(lists.first { $0.view.buffer == .base64Data }?.steps ?? [])
    for list in lists.indices {
      for index in lists[list].steps.indices {
        guard case .base64(var step) = lists[list].steps[index] else { continue }
        step.decoded = decoded
        lists[list].steps[index] = .base64(step)
      }
    }
    let payload = append(lists.first { $0.view == .payload }?.steps ?? [])
    let firstHeader = headerSteps.count
    let firstBuffer = bufferSteps.count
    for list in lists {
      let transform = try transform(list.view, of: rule)
      let buffer = list.view.buffer
      switch buffer.origin {
      case .payload: break
      case .header:
        headerSteps.append(HeaderSteps(buffer: buffer, transform: transform, steps: append(list.steps)))
      case .transaction:
        bufferSteps.append(BufferSteps(buffer: buffer, transform: transform, steps: append(list.steps)))
      }
    }
    return CompiledOptions(
      tests: TableRange(start: UInt32(firstTest), count: UInt32(tests.count - firstTest)),
      payload: payload,
      headers: TableRange(start: UInt32(firstHeader), count: UInt32(headerSteps.count - firstHeader)),
      buffers: TableRange(start: UInt32(firstBuffer), count: UInt32(bufferSteps.count - firstBuffer)),
      changes: TableRange(start: UInt32(firstChange), count: UInt32(changes.count - firstChange)))
  }

  /// Rules use the same few transforms over and over: each is compiled once.
  private mutating func transform(_ view: BufferView, of rule: Rule) throws(RuleProblem) -> UInt32 {
    if view.transforms.isEmpty { return Signature.any }
    if let number = transformNumbers[view.transforms] { return number }
    do {
      transforms.append(try TransformChain(view.transforms))
    } catch {
      throw RuleProblem(
        location: rule.location, sid: rule.sid, reason: "pcrexform: \(error.message)", isUnsupported: false)
    }
    let number = UInt32(transforms.count - 1)
    transformNumbers[view.transforms] = number
    return number
  }

  /// Appends the steps for one buffer, marking those that a later one counts from.
  private mutating func append(_ list: [PayloadStep]) -> TableRange {
    let range = TableRange(start: UInt32(steps.count), count: UInt32(list.count))
    for (index, step) in list.enumerated() {
      let retries = RuleCompiler.someStepCounts(from: index, in: list)
      switch step {
      case .content(var content):
        content.retries = retries
        steps.append(.content(content))
      case .pattern(var pattern):
        pattern.retries = retries
        steps.append(.pattern(pattern))
      default: steps.append(step)
      }
    }
    return range
  }

  private static func someStepCounts(from index: Int, in list: [PayloadStep]) -> Bool {
    for later in list[(index + 1)...] {
      if later.isRelative { return true }
      if later.movesCursor { return false }
    }
    return false
  }

  private mutating func step(for option: RuleOption, of rule: Rule) throws(RuleProblem) -> (
    InspectionBuffer, PayloadStep
  )? {
    switch option {
    case .content(let content):
      return (content.buffer, .content(compile(content)))
    case .pcre(let pattern):
      let index = UInt32(patterns.count)
      do {
        patterns.append(try CompiledPattern(pattern))
      } catch {
        var location = pattern.location
        location.column += error.offset
        throw RuleProblem(
          location: location, sid: rule.sid, reason: "pcre: \(error.message)", isUnsupported: false)
      }
      return (
        pattern.buffer,
        .pattern(
          PatternStep(
            pattern: index, isNegated: pattern.isNegated, isRelative: pattern.relative, retries: false,
            captures: captures(of: pattern, patterns[Int(index)])))
      )
    case .byteTest(let test):
      return (
        test.buffer,
        .byteTest(
          ByteTestStep(
            read: NumberRead(
              test.byteCount, test.offset, isRelative: test.isRelative, test.format, mask: test.bitmask),
            comparison: test.comparison, value: StepValue(test.value), isNegated: test.isNegated))
      )
    case .byteJump(let jump):
      return (
        jump.buffer,
        .byteJump(
          ByteJumpStep(
            read: NumberRead(
              jump.byteCount, jump.offset, isRelative: jump.isRelative, jump.format, mask: jump.bitmask),
            multiplier: jump.multiplier, aligns: jump.aligns, origin: jump.origin,
            postOffset: StepValue(jump.postOffset)))
      )
    case .byteExtract(let extract):
      return (
        extract.buffer,
        .byteExtract(
          ByteExtractStep(
            read: NumberRead(
              .constant(extract.byteCount), .constant(extract.offset), isRelative: extract.isRelative, extract.format,
              mask: nil),
            variable: UInt32(extract.variable), multiplier: extract.multiplier,
            alignment: UInt32(extract.alignment ?? 0)))
      )
    case .byteMath(let math):
      return (
        math.buffer,
        .byteMath(
          ByteMathStep(
            read: NumberRead(
              math.byteCount, .constant(math.offset), isRelative: math.isRelative, math.format, mask: math.bitmask),
            operation: math.operation, operand: StepValue(math.operand), variable: UInt32(math.variable)))
      )
    case .isDataAt(let test):
      return (
        test.buffer,
        .isDataAt(
          IsDataAtStep(
            position: StepValue(test.position), isNegated: test.isNegated, isRelative: test.isRelative))
      )
    case .asn1(let match): return (.payload, .asn1(ASN1Step(match, mostObjects: asn1Depth)))
    case .bufferSize(let view, let match):
      return (view.buffer, .bufferSize(NumberTest(match)))
    case .base64Decode(let decode):
      return (
        decode.view.buffer,
        .base64(
          Base64Step(
            byteCount: decode.byteCount ?? 0, offset: decode.offset, isRelative: decode.isRelative, decoded: .empty))
      )
    case .dataset(let match):
      return (match.view.buffer, .dataSet(try dataSets.step(for: match, of: rule)))
    case .dataReputation(let match):
      return (match.view.buffer, .reputation(try dataSets.step(for: match, of: rule)))
    default:
      return nil
    }
  }

  /// The groups of a pattern whose text is noted: those that the rule names behind it, and those that are called `flow_NAME` or
  /// `pkt_NAME`.
  private mutating func captures(of pattern: PatternMatch, _ compiled: CompiledPattern) -> TableRange {
    let start = captures.count
    for (index, capture) in pattern.captures.enumerated() {
      captures.append(
        CaptureRule(
          group: UInt32(index + 1), scope: capture.scope,
          name: RuleCompiler.number(of: capture.name, in: &variableNumbers)))
    }
    for part in pattern.pattern.split(separator: UInt8(ascii: "<")).dropFirst() {
      let group = Array(part.prefix { $0 != UInt8(ascii: ">") })
      guard group.count < part.count, let number = compiled.group(named: group) else { continue }
      for scope in [PatternMatch.Capture.Scope.flow, .packet] where group.starts(with: Array("\(scope.rawValue)_".utf8))
      {
        let name = String(decoding: group.dropFirst(scope.rawValue.utf8.count + 1), as: UTF8.self)
        captures.append(
          CaptureRule(
            group: UInt32(number), scope: scope, name: RuleCompiler.number(of: name, in: &variableNumbers)))
      }
    }
    return TableRange(start: UInt32(start), count: UInt32(captures.count - start))
  }

  private mutating func append(literal bytes: [UInt8]) -> TableRange {
    literals.append(contentsOf: bytes)
    return TableRange(start: UInt32(literals.count - bytes.count), count: UInt32(bytes.count))
  }

  private func reputationTest(_ match: IPReputationMatch, _ rule: Rule) throws(RuleProblem) -> ReputationTest {
    guard let category = reputationCategories[match.category] else {
      throw RuleProblem(
        location: rule.location, sid: rule.sid,
        reason: "iprep: no file of categories (reputation-categories-file) names \"\(match.category)\"",
        isUnsupported: false)
    }
    return ReputationTest(side: match.side, category: category, condition: match.condition)
  }

  private mutating func compile(_ content: ContentMatch) -> ContentStep {
    let literal = append(literal: content.isCaseless ? content.bytes.map(LiteralSearch.lowercase) : content.bytes)
    return ContentStep(
      literal: literal, isNegated: content.isNegated, isCaseless: content.isCaseless, endsWith: content.endsWith,
      hasDistance: content.distance != nil, hasWithin: content.within != nil, hasDepth: content.depth != nil,
      retries: false, offset: StepValue(content.offset ?? 0), depth: StepValue(content.depth ?? 0),
      distance: StepValue(content.distance ?? 0), within: StepValue(content.within ?? 0))
  }

  private mutating func test(for option: RuleOption, of rule: Rule) throws(RuleProblem) -> PacketTest? {
    switch option {
    case .dsize(let match):
      switch match {
      // "Not this size" means a payload of another size: none at all does not match, nor one that is not looked at.
      case .notEqual, .notRange, .greater, .greaterOrEqual, .range: return .payloadSize(NumberTest(match))
      default: return .dsize(NumberTest(match))
      }
    case .ttl(let match): return .ttl(NumberTest(match))
    case .ipID(let match): return .ipID(NumberTest(match))
    case .tos(let match): return .tos(NumberTest(match))
    case .ipProtocol(let match): return .ipProtocol(NumberTest(match))
    case .ipVersion(let version): return .ipVersion(version)
    case .ipOption(let match): return .ipOption(match.rawValue)
    case .fragmentBits(let match): return .fragmentBits(PacketTest.FragmentBits(match))
    case .fragmentOffset(let match): return .fragmentOffset(NumberTest(match))
    case .sameIP: return .sameIP
    case .tcpFlags(let match): return .tcpFlags(PacketTest.TCPFlags(match))
    case .tcpSequence(let match): return .tcpSequence(NumberTest(match))
    case .tcpAcknowledgement(let match): return .tcpAcknowledgement(NumberTest(match))
    case .tcpWindow(let match): return .tcpWindow(NumberTest(match))
    case .tcpMSS(let match): return .tcpMSS(NumberTest(match))
    case .rpc(let match): return .rpc(match)
    case .icmpType(let match): return .icmpType(NumberTest(match))
    case .icmpCode(let match): return .icmpCode(NumberTest(match))
    case .icmpID(let match): return .icmpID(NumberTest(match))
    case .icmpSequence(let match): return .icmpSequence(NumberTest(match))
    case .icmpv6MTU(let match): return .icmpv6MTU(NumberTest(match))
    case .checksum(let match):
      if trustsChecksums { return match.isValid ? .layer(match.layer) : .never }
      return .checksum(match.layer, isValid: match.isValid)
    case .streamSize(let match): return .streamSize(match.side, NumberTest(match.size))
    case .flowAge(let match): return .flowAge(NumberTest(match))
    case .variable(let match):
      return .variable(
        VariableTest(
          scope: match.scope, name: RuleCompiler.number(of: match.name, in: &variableNumbers),
          text: append(literal: match.text)))
    case .ipReputation(let match): return .reputation(try reputationTest(match, rule))
    case .flowInteger(let integer): return integer.operation.isCondition ? .flowInteger(step(for: integer)) : nil
    case .decodeEvent(let name):
      guard let event = DecoderEvent.named(name) else { throw unknownEvent("decode-event", name, of: rule) }
      return .decoderEvent(event)
    case .streamEvent(let name):
      guard let event = StreamEvent.named(name) else { throw unknownEvent("stream-event", name, of: rule) }
      return .streamEvent(event)
    case .applicationProtocol(let match): return .applicationProtocol(ProtocolCondition(match))
    case .applicationNumber(.fileSize, let match): return .file(.size(NumberTest(match)))
    case .fileDigest(let match): return .file(.digest(try digests(of: match, rule), isNegated: match.isNegated))
    case .ftpDataCommand(let command): return .transaction(.ftpDataCommand(command))
    case .ftpBounce: return .transaction(.ftpBounce)
    case .dcerpcInterface(let interface): return .transaction(.dcerpcInterface(DCERPCInterfaceTest(interface)))
    case .dcerpcOperation(let ranges):
      let start = numberRanges.count
      for range in ranges {
        numberRanges.append(DetectionTables.NumberRange(first: range.lowerBound, last: range.upperBound))
      }
      return .transaction(
        .dcerpcOperation(TableRange(start: UInt32(start), count: UInt32(ranges.count))))
    case .applicationNumber(let number, let match): return .applicationNumber(number, NumberTest(match))
    case .applicationFlags, .tlsVersion, .tlsState, .certificateValidity, .modbus, .dnp3Object, .cipService,
      .http2Setting, .ikeAttribute, .krb5TicketEncryption:
      guard let condition = ApplicationCondition(option) else { return nil }
      conditions.append(condition)
      return .applicationCondition(UInt32(conditions.count - 1))
    case .applicationEvent(let event) where event.protocols == nil:
      guard let event = DetectionEvent.named(event.name) else {
        throw unknownEvent("app-layer-event", event.name, of: rule)
      }
      return .detectionEvent(event)
    case .applicationEvent(let event):
      guard let condition = EventCondition(event) else { throw unknownEvent("app-layer-event", event.name, of: rule) }
      return .applicationEvent(condition)
    case .flowbits(let bits), .hostbits(let bits), .xbits(let bits):
      guard bits.action.isCondition else { return nil }
      let start = bitNumbers.count
      for name in bits.names { bitNumbers.append(number(of: name, track: bits.track)) }
      return .bits(
        BitCondition(
          names: TableRange(start: UInt32(start), count: UInt32(bits.names.count)), track: bits.track,
          wantsSet: bits.action == .isSet))
    default:
      return nil
    }
  }

  private mutating func digests(of match: FileDigestMatch, _ rule: Rule) throws(RuleProblem) -> FileDigestList {
    if !fileNeeds.digests.contains(match.kind.function) { fileNeeds.digests.append(match.kind.function) }
    do {
      return try fileDigests.list(match, named: rule.location)
    } catch {
      throw RuleProblem(location: rule.location, sid: rule.sid, reason: error.reason, isUnsupported: false)
    }
  }

  private func unknownEvent(_ keyword: String, _ name: String, of rule: Rule) -> RuleProblem {
    RuleProblem(
      location: rule.location, sid: rule.sid, reason: "\(keyword): no event is named \"\(name)\"",
      isUnsupported: true)
  }

  private mutating func appendChanges(for option: RuleOption) {
    let bits: StateBits
    switch option {
    case .flowInteger(let integer):
      if !integer.operation.isCondition { changes.append(.integer(step(for: integer))) }
      return
    case .flowbits(let state), .hostbits(let state), .xbits(let state): bits = state
    default: return
    }
    let change: BitChange.Change
    switch bits.action {
    case .set: change = .set
    case .unset: change = .unset
    case .toggle: change = .toggle
    case .isSet, .isNotSet: return
    }
    for name in bits.names {
      changes.append(
        .bit(
          BitChange(
            bit: StateBit(number: number(of: name, track: bits.track), track: bits.track), change: change,
            expiry: bits.expiry ?? 0)))
    }
  }

  private mutating func step(for integer: FlowInteger) -> FlowIntegerStep {
    let name = RuleCompiler.number(of: integer.name, in: &integerNumbers)
    switch integer.operand {
    case .constant(let value):
      return FlowIntegerStep(operation: integer.operation, name: name, operand: value, operandIsName: false)
    case .name(let other):
      let number = RuleCompiler.number(of: other, in: &integerNumbers)
      return FlowIntegerStep(operation: integer.operation, name: name, operand: number, operandIsName: true)
    case nil: return FlowIntegerStep(operation: integer.operation, name: name, operand: 0, operandIsName: false)
    }
  }

  /// Flow bits and host bits have name spaces of their own.
  private mutating func number(of name: String, track: StateBits.Track) -> UInt32 {
    if track == .flow { return RuleCompiler.number(of: name, in: &flowBitNumbers) }
    return RuleCompiler.number(of: name, in: &hostBitNumbers)
  }

  private static func number(of name: String, in numbers: inout [String: UInt32]) -> UInt32 {
    if let number = numbers[name] { return number }
    let number = UInt32(numbers.count)
    numbers[name] = number
    return number
  }

  // MARK: lists

  /// Rules name the same few lists over and over: each is kept once.
  private mutating func addressList(_ list: AddressList) -> UInt32 {
    if list.isAny { return Signature.any }
    let key = list.included.flatMap { [$0.first, $0.last] }
    if let number = addressListNumbers[key] { return number }
    let number = UInt32(addressLists.count)
    addressListNumbers[key] = number
    addressLists.append(TableRange(start: UInt32(addresses.count), count: UInt32(list.included.count)))
    for range in list.included {
      addresses.append(DetectionTables.AddressInterval(first: range.first, last: range.last))
    }
    return number
  }

  private mutating func portList(_ list: PortList) -> UInt32 {
    if list.isAny { return Signature.any }
    let key = list.included.flatMap { [$0.lowerBound, $0.upperBound] }
    if let number = portListNumbers[key] { return number }
    let number = UInt32(portLists.count)
    portListNumbers[key] = number
    portLists.append(TableRange(start: UInt32(ports.count), count: UInt32(list.included.count)))
    for range in list.included {
      ports.append(DetectionTables.PortInterval(first: range.lowerBound, last: range.upperBound))
    }
    return number
  }
}

extension NumberRead {
  init(_ byteCount: RuleValue, _ offset: RuleValue, isRelative: Bool, _ format: ByteFormat, mask: UInt32?) {
    self.byteCount = StepValue(byteCount)
    self.offset = StepValue(offset)
    self.isRelative = isRelative
    switch format {
    case .binary(let isLittleEndian):
      base = 0
      self.isLittleEndian = isLittleEndian
    case .digits(let base):
      self.base = base == 0 ? 1 : UInt8(base)
      isLittleEndian = false
    case .dce:
      base = 0
      isLittleEndian = true
      followsMessage = true
    }
    hasMask = mask != nil && mask != 0
    self.mask = mask ?? 0
  }
}

extension SignatureRecord {
  init(_ rule: Rule) {
    var metadata: [(key: String, values: [String])] = []
    for (key, value) in rule.metadata {
      if let index = metadata.firstIndex(where: { $0.key == key }) {
        metadata[index].values.append(value)
      } else {
        metadata.append((key, [value]))
      }
    }
    self.init(
      gid: rule.gid, sid: rule.sid, rev: rule.rev, message: rule.message, category: rule.category,
      severity: rule.priority, metadata: metadata, target: rule.target,
      references: rule.references.map { "\($0.scheme):\($0.value)" }, text: rule.text,
      isOfApplication: rule.applicationProtocols != nil)
  }
}
