/// The transactions of a parser that are not done with, oldest first.
struct TransactionList<Transaction: ApplicationTransaction> {
  private(set) var items: [Transaction] = []
  private var begun: UInt64 = 0
  private let limit: Int

  init(limits: ApplicationLimits) { limit = limits.transactions }

  /// Adds one more, unless there are too many.
  ///
  /// - Parameter make: what makes it, given its number.
  mutating func begin(_ make: (UInt64) -> Transaction) -> Transaction? {
    guard items.count < limit else { return nil }
    let transaction = make(begun)
    begun += 1
    items.append(transaction)
    return transaction
  }

  mutating func remove(at index: Int) { items.remove(at: index) }
}

/// A transaction that is a single message, whichever side sent it: whole from the first. Unless its protocol has buffers, there are
/// none to be looked at.
protocol MessageTransaction: ApplicationTransaction {}

extension MessageTransaction {
  func stage(of side: FlowSide) -> UInt8 { TransactionStage.complete }
  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? { nil }
}

/// A parser whose transactions are single messages, datagrams mostly, and begin and end with them.
protocol MessageParser: ApplicationParser {
  associatedtype Transaction: ApplicationTransaction
  var list: TransactionList<Transaction> { get set }
}

extension MessageParser {
  var transactionCount: Int { list.items.count }
  func transaction(at index: Int) -> any ApplicationTransaction { list.items[index] }
  func removeTransaction(at index: Int) { list.remove(at: index) }
  func skip(_ count: Int, from side: FlowSide) {}
  func close(_ side: FlowSide) {}
}
