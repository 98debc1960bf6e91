import { describe, expect, it } from "vitest";
import { CelError } from "../../../cel/cel.ts";
import { celToJson } from "../../../cel/json.ts";
import { kubernetesEnvironment } from "../kubernetes-environment.ts";

function evaluate(expression: string): unknown {
  const { program, message } = kubernetesEnvironment().compile(expression);
  if (!program) throw new Error(message);
  return celToJson(program.evaluate({}).value);
}

function failure(expression: string): string {
  try {
    return `no error, but ${JSON.stringify(evaluate(expression))}`;
  } catch (error) {
    if (error instanceof CelError) return error.message;
    throw error;
  }
}

function cost(expression: string): number {
  const { program, message } = kubernetesEnvironment().compile(expression);
  if (!program) throw new Error(message);
  return program.evaluate({}).cost;
}

/** Each line is an expression that is true. */
function holds(...expressions: readonly string[]): void {
  for (const expression of expressions) expect([expression, evaluate(expression)]).toEqual([expression, true]);
}

describe("lists", () => {
  it("are sorted, summed, and have a least and a greatest item", () => {
    holds(
      "[1, 2, 3].isSorted()",
      "!['b', 'a'].isSorted()",
      "[].isSorted()",
      "[1, 2, 3].sum() == 6",
      "[1.5, 2.5].sum() == 4.0",
      "[duration('1s'), duration('2m')].sum() == duration('121s')",
      "[3, 1, 2].min() == 1",
      "['a', 'c', 'b'].max() == 'c'",
    );
    expect(failure("[1].filter(x, x > 1).min()")).toBe("min called on empty list");
    expect(failure("[9223372036854775807, 1].sum()")).toBe("integer overflow");
  });

  it("tell where an item stands", () => {
    holds("['a', 'b', 'b'].indexOf('b') == 1", "['a', 'b', 'b'].lastIndexOf('b') == 2", "[1].indexOf(2) == -1");
  });
});

describe("regular expressions", () => {
  it("find the first match or all of them", () => {
    holds(
      "'abc 123'.find('[0-9]+') == '123'",
      "'abc'.find('x') == ''",
      "'123 abc 456'.findAll('[0-9]+') == ['123', '456']",
      "'123 abc 456'.findAll('[0-9]+', 1) == ['123']",
      "'abc'.findAll('x') == []",
      "'xab'.findAll('x*') == ['x', '', '']",
    );
  });
});

describe("URLs", () => {
  it("have the parts they are written with", () => {
    holds(
      "url('https://user:pass@example.com:80/path?query=val#fragment').getHost() == 'example.com:80'",
      "url('https://[::1]:80/').getHostname() == '::1'",
      "url('https://[::1]:80/').getHost() == '[::1]:80'",
      "url('https://example.com:80/').getPort() == '80'",
      "url('/path').getScheme() == '' && url('HTTPS://a').getScheme() == 'https'",
      "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
      "url('https://a/p?k1=a&k2=b&k2=c').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}",
      "url('https://a/p?key with spaces=value with spaces').getQuery() == {'key with spaces': ['value with spaces']}",
      "url('https://a/b') == url('https://a/b') && url('https://a/b') != url('https://a/c')",
      "isURL('/absolute') && !isURL('../relative') && !isURL('https://a:b:c/')",
    );
  });

  it("are refused in Go's words", () => {
    const start = "URL parse error during conversion from string: ";
    expect(failure("url('../relative-path')")).toBe(`${start}parse "../relative-path": invalid URI for request`);
    expect(failure("url('https://a:b:c/')")).toBe(`${start}parse "https://a:b:c/": invalid port ":c" after host`);
    expect(failure("url('')")).toBe(`${start}parse "": empty url`);
  });
});

describe("quantities", () => {
  it("are compared and added exactly", () => {
    holds(
      "quantity('200M').isGreaterThan(quantity('100M'))",
      "quantity('1Gi').compareTo(quantity('1024Mi')) == 0",
      "quantity('1') == quantity('1000m')",
      "quantity('50k').add(20) == quantity('50020')",
      "quantity('50k').sub(quantity('20k')) == quantity('30k')",
      "sign(quantity('-1')) == -1",
      "quantity('50k').asInteger() == 50000",
      "quantity('50.5k').asApproximateFloat() == 50500.0",
      "isQuantity('1.3Gi') && !isQuantity('200K') && !isQuantity('Three')",
    );
  });

  it("are integers where upstream can tell", () => {
    holds(
      "quantity('5').isInteger() && quantity('1.5G').isInteger()",
      "!quantity('0.5').isInteger() && !quantity('1000m').isInteger()",
      "!quantity('9999999999999999999999999999999999999G').isInteger()",
    );
    expect(failure("quantity('0.5').asInteger()")).toBe("cannot convert value to integer");
    expect(failure("quantity('200K')")).toBe("unable to parse quantity's suffix");
  });
});

describe("addresses", () => {
  it("tell what they are", () => {
    holds(
      "ip('127.0.0.1').family() == 4 && ip('::1').family() == 6",
      "ip('127.0.0.1').isLoopback() && ip('::').isUnspecified()",
      "ip('224.0.0.1').isLinkLocalMulticast() && ip('fe80::1').isLinkLocalUnicast()",
      "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
      "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
      "string(ip('2001:DB8::1')) == '2001:db8::1'",
      "isIP('1.2.3.4') && !isIP('1.2.3') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%en0') && !isIP('01.2.3.4')",
    );
  });

  it("lie in blocks or not", () => {
    holds(
      "cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('192.168.0.0/24').containsIP(ip('192.168.1.1'))",
      "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') && !cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/16'))",
      "cidr('192.168.0.1/24').ip() == ip('192.168.0.1') && cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')",
      "cidr('::1/128').prefixLength() == 128",
      "string(cidr('192.168.0.1/24')) == '192.168.0.1/24'",
      "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && !isCIDR('10.0.0.0')",
    );
  });

  it("are refused in Go's words", () => {
    const start = "parse error during conversion from string:";
    expect(failure("ip('x')")).toBe(`IP Address "x" ${start} ParseAddr("x"): unable to parse IP`);
    expect(failure("ip('1.2.3.256')")).toBe(`IP Address "1.2.3.256" ${start} ParseAddr("1.2.3.256"): IPv4 field has value >255`);
    expect(failure("ip('fe80::1%en0')")).toBe('IP address "fe80::1%en0" with zone value is not allowed');
    expect(failure("cidr('10.0.0.0/33')")).toBe(
      `network address ${start} network address ${start} netip.ParsePrefix("10.0.0.0/33"): prefix length out of range`,
    );
  });
});

describe("formats", () => {
  it("give the problems of a text, or none", () => {
    holds(
      "!format.dns1123Label().validate('a-b').hasValue()",
      "format.dns1123Label().validate('A').value().size() == 1",
      "!format.dns1123LabelPrefix().validate('a-').hasValue() && format.dns1123Label().validate('a-').hasValue()",
      "format.named('qualifiedName').value().validate('a b').hasValue() && !format.named('nope').hasValue()",
      "format.uuid().validate('x').value() == ['does not match the UUID format']",
      "format.date().validate('2026-02-30').value() == ['invalid date']",
      "format.dns1035Label() == format.named('dns1035Label').value()",
    );
  });
});

describe("semantic versions", () => {
  it("are compared by their numbers and prereleases", () => {
    holds(
      "semver('1.2.3').isLessThan(semver('1.10.0'))",
      "semver('1.0.0-alpha.2').compareTo(semver('1.0.0-alpha.10')) == -1",
      "semver('1.0.0').isGreaterThan(semver('1.0.0-rc1'))",
      "semver('1.0.0+a') == semver('1.0.0+b')",
      "semver('v01.2', true) == semver('1.2.0')",
      "semver('4.5.6').major() == 4 && semver('4.5.6').minor() == 5 && semver('4.5.6').patch() == 6",
      "isSemver('1.0.0') && !isSemver('1.0') && isSemver('v1.0', true)",
    );
    expect(failure("semver('1.0')")).toBe("No Major.Minor.Patch elements found");
    expect(failure("semver('1.01.0')")).toBe('Minor number must not contain leading zeroes "01"');
  });
});

describe("costs", () => {
  it("grow with the text that is gone through", () => {
    // The call, and nothing for the literal.
    expect(cost("isIP('1.2.3.4')")).toBe(1);
    expect(cost(`isQuantity('${"1".repeat(15)}')`)).toBe(2);
    expect(cost(`'${"a".repeat(99)}'.find('abcdefgh')`)).toBe(10 * 2);
    expect(cost("ip.isCanonical('127.0.0.1')")).toBe(2);
  });
});

it("patterns that are short and large are charged for what following them takes", () => {
  const text = "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'";
  const long = `[${Array(40).fill(text).join()}].join()`;
  const large = `'${"(x?){1000}".repeat(8)}y'`;
  expect(failure(`${long}.matches(${large})`)).toContain("cost");
  // Each match is sought to the end of the text before a shorter one is taken.
  expect(failure(`[${Array(1000).fill(text).join()}].join().findAll('x.*y|x').size() > 0`)).toContain("cost");
  expect(evaluate(`${long}.matches('^[x,]+$')`)).toBe(true);
});
