/// What the schemes of `reference` stand for: the address in front of the value, as a `reference.config` has them.
public struct References: Sendable {
  /// By scheme in lower case: schemes do not look at case.
  public private(set) var prefixes: [String: String]

  public init(prefixes: [String: String] = [:]) { self.prefixes = prefixes }

  /// Where a reference leads to; nil when nobody says what its scheme means.
  public func url(of reference: RuleReference) -> String? {
    prefixes[reference.scheme.lowercased()].map { $0 + reference.value }
  }

  /// Reads the lines `config reference: SCHEME PREFIX` of a file. Lines that are wrong are left out; of two with the
  /// same scheme the first one counts.
  ///
  /// - Parameters:
  ///   - text: the file's bytes.
  ///   - file: the name for locations.
  /// - Returns: what the file defines, and what is wrong with it.
  public static func read(_ text: [UInt8], file: String) -> (References, problems: [RuleProblem]) {
    var result = References()
    let problems = ConfigurationLines.read(text, file: file) { line throws(RuleSyntaxError) in
      let words = try ConfigurationLines.value(of: "reference", in: line).words
      guard words.count == 2 else { throw line.expected("a scheme and the address in front of its values") }
      let scheme = words[0].lowercased
      if result.prefixes[scheme] == nil { result.prefixes[scheme] = words[1].string }
    }
    return (result, problems)
  }

  /// The schemes that rule sets in use have.
  public static let standard = References(prefixes: [
    "bid": "http://www.securityfocus.com/bid/",
    "bugtraq": "http://www.securityfocus.com/bid/",
    "cve": "http://cve.mitre.org/cgi-bin/cvename.cgi?name=",
    "et": "http://doc.emergingthreats.net/",
    "etpro": "http://doc.emergingthreatspro.com/",
    "exploitdb": "http://www.exploit-db.com/exploits/",
    "md5": "http://www.threatexpert.com/report.aspx?md5=",
    "msft": "http://technet.microsoft.com/security/bulletin/",
    "nessus": "http://cgi.nessus.org/plugins/dump.php3?id=",
    "osvdb": "http://osvdb.org/show/osvdb/",
    "secunia": "http://www.secunia.com/advisories/",
    "url": "http://",
    "xforce": "http://xforce.iss.net/xforce/xfdb/",
  ])
}
