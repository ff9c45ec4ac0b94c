#!/usr/bin/env python3
"""Compare the alerts of two engines, rule by rule and flow by flow.

    compare-alerts.py TRUTH/eve.json OURS/eve.json [--rules FILE] [--counts] [--top N] [--missed FILE] [--least PERCENT] [--equal]
                      [--again FILE]...

An alert is known by its rule and by its flow (addresses and ports, whichever way). Precision and recall are taken over these
pairs, in all and as mean over the rules. With --counts a rule that alerts twice in a flow must alert twice. With --rules, what the
rules with differences have in common is shown: of the rules that use a keyword, a protocol or a direction, how many differ.
--missed writes rule, kind of difference and flow for each difference. With --least the exit status is 1 when total precision or recall
is below PERCENT, or the mean over rules is below it by more than one; with --equal, when anything differs. --again gives what the
first engine wrote in another run of the same: what it says in some of its runs only may be said or not.
"""
import argparse
import collections
import json
import re
import sys


def alerts(path, counts):
    """How often each (rule, flow) has an alert."""
    found = collections.Counter()
    with open(path, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
            except ValueError:
                sys.exit("%s:%d: expected a JSON object" % (path, number))
            alert = event.get("alert")
            if event.get("event_type") != "alert" or alert is None or alert.get("gid", 1) != 1:
                continue
            ends = sorted(((event.get("src_ip", "").lower(), event.get("src_port", 0)),
                           (event.get("dest_ip", "").lower(), event.get("dest_port", 0))))
            found[alert["signature_id"], event.get("proto", "").upper(), *ends] += 1
    return found if counts else collections.Counter(dict.fromkeys(found, 1))


def traits(line):
    """What a rule has in common with others: protocol, direction, keywords, and how a keyword is negated."""
    head = line.split("(", 1)[0].split()
    body = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line.split("(", 1)[1])
    result = {"protocol " + head[1]}
    for option in re.split(r"(?<!\\);", body):
        name, _, value = option.strip().partition(":")
        if not name or name == ")":
            continue
        result.add(name)
        if name == "flow":
            result.update("flow " + word for word in re.split(r"[,\s]+", value) if word)
        elif value.strip().startswith("!"):
            result.add(name + " !")
    return result - {"msg", "sid", "rev", "classtype", "metadata", "reference", "content"}


def share(part, rest):
    return 100.0 * part / (part + rest) if part + rest else 100.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth")
    parser.add_argument("ours")
    parser.add_argument("--rules")
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--missed")
    parser.add_argument("--least", type=float)
    parser.add_argument("--equal", action="store_true")
    parser.add_argument("--again", action="append", default=[])
    options = parser.parse_args()
    truths = [alerts(path, options.counts) for path in [options.truth] + options.again]
    ours = alerts(options.ours, options.counts)
    rules = collections.defaultdict(lambda: [0, 0, 0])  # both, missed, extra
    differences = []
    for key in sorted(set(ours).union(*truths), key=str):
        given = ours[key]
        wanted = min(max(given, min(truth[key] for truth in truths)), max(truth[key] for truth in truths))
        row = rules[key[0]]
        row[0] += min(wanted, given)
        row[1] += max(0, wanted - given)
        row[2] += max(0, given - wanted)
        if wanted != given:
            differences.append("%d %s %s" % (key[0], "missed" if wanted > given else "extra", " ".join(map(str, key[1:]))))
    if options.missed:
        with open(options.missed, "w", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in differences)
    different = {sid for sid, row in rules.items() if row[1] or row[2]}
    for sid in sorted(different, key=lambda sid: (-rules[sid][1] - rules[sid][2], sid))[:options.top]:
        print("rule %-10d both %6d  missed %6d  extra %6d" % (sid, *rules[sid]))
    if options.rules and different:
        table = collections.Counter()
        having = collections.Counter()
        with open(options.rules, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sid = re.search(r"[;(\s]sid\s*:\s*(\d+)", line)
                if line.lstrip().startswith("#") or not sid or int(sid.group(1)) not in rules:
                    continue
                for trait in traits(line):
                    having[trait] += 1
                    table[trait] += int(sid.group(1)) in different
        print("what rules with differences have in common (of those that fired):")
        order = sorted((trait for trait in table if table[trait]), key=lambda trait: -table[trait] ** 2 / having[trait])
        for trait in order[:options.top]:
            print("  %-32s %6d of %6d differ" % (trait, table[trait], having[trait]))
    both, missed, extra = (sum(row[place] for row in rules.values()) for place in range(3))
    recall, precision = share(both, missed), share(both, extra)
    means = [sum(share(row[0], row[place]) for row in rules.values()) / max(1, len(rules)) for place in (1, 2)]
    print("rules that fired: %d, of which %d are equal" % (len(rules), len(rules) - len(different)))
    print("in all: precision %.2f %%, recall %.2f %% (both %d, missed %d, extra %d)"
          % (precision, recall, both, missed, extra))
    print("mean over rules: precision %.2f %%, recall %.2f %%" % (means[1], means[0]))
    if options.least is not None and (min(precision, recall) < options.least or min(means) < options.least - 1):
        return 1
    return 1 if options.equal and different else 0


if __name__ == "__main__":
    sys.exit(main())
