// The receptive field, as in field.py: which part of each layer an output depends on.

function traced(nodes, chosen, position, axis) {
  const seen = new Map([[chosen, [position, position]]]);
  for (let at = chosen; at > 0; at--) {
    if (!seen.has(at)) continue;
    for (const source of nodes[at].sources) {
      const [low, high] = before(nodes[at].rule, seen.get(at), axis, countOf(nodes[source], axis));
      const known = seen.get(source) ?? [low, high];
      seen.set(source, [Math.min(known[0], low), Math.max(known[1], high)]);
    }
  }
  return seen;
}

const countOf = (node, axis) => (node.sizes ? node.sizes[axis] : 1);

function before(rule, [low, high], axis, count) {
  if (rule.kind === "same") return [low, high];
  if (rule.kind === "all") return [0, count - 1];
  const window = rule.window[axis],
    stride = rule.stride[axis],
    pad = rule.low[axis];
  const isWindow = rule.kind === "window";
  const first = isWindow ? low * stride - pad : Math.ceil((low + pad - window + 1) / stride);
  const last = isWindow ? high * stride - pad + window - 1 : Math.floor((high + pad) / stride);
  const ends = [Math.max(first, 0), Math.min(last, count - 1)];
  return [Math.min(...ends), Math.max(...ends)];
}

/** For each node: how many inputs lie between two outputs, and where the first one lies, along one axis. */
function placed(nodes, axis) {
  const whole = countOf(nodes[0], axis),
    places = [{ jump: 1, start: 0 }];
  for (const node of nodes.slice(1)) {
    const { jump, start } = places[node.sources[0]],
      { rule } = node,
      apart = whole / countOf(node, axis);
    if (rule.kind === "all") places.push({ jump: apart, start: (apart - 1) / 2 });
    else if (rule.kind === "same") places.push({ jump, start });
    else {
      const stride = rule.stride[axis],
        middle = (rule.window[axis] - 1) / 2 - rule.low[axis];
      places.push(
        rule.kind === "window"
          ? { jump: jump * stride, start: start + jump * middle }
          : { jump: jump / stride, start: start - (jump * middle) / stride },
      );
    }
  }
  return places;
}
