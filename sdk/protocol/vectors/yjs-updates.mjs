// Writes yjs-updates.json: what stock Yjs writes, and the ids that it finds in it itself.
//
//     npm install yjs@13 && node yjs-updates.mjs yjs-updates.json
//
// Rerun it for a new Yjs; `tests/scan_yjs.rs` reads the result.
import * as Y from 'yjs'
import * as encoding from 'lib0/encoding'
import { writeFileSync } from 'node:fs'

const cases = []
const hex = bytes => Buffer.from(bytes).toString('hex')
const add = (name, update) => {
  const { structs, ds } = Y.decodeUpdate(update)
  const inserts = {}
  let skips = false
  for (const s of structs) {
    if (s.constructor.name === 'Skip') { skips = true; continue }
    const ranges = (inserts[s.id.client] ??= [])
    const last = ranges.at(-1)
    if (last && last[0] + last[1] === s.id.clock) last[1] += s.length
    else ranges.push([s.id.clock, s.length])
  }
  const deletes = {}
  for (const [client, items] of ds.clients) deletes[client] = items.map(d => [d.clock, d.len])
  cases.push({ name, hex: hex(update), inserts, deletes, skips })
}
const doc = (client, opts = {}) => { const d = new Y.Doc(opts); d.clientID = client; return d }
const written = (d, f) => { const out = []; const on = u => out.push(u); d.on('update', on); f(d); d.off('update', on); return out }
const one = (name, client, f) => { const d = doc(client); const us = written(d, () => d.transact(() => f(d))); if (us.length !== 1) throw new Error(name); add(name, us[0]); return d }

add('an empty update', Y.encodeStateAsUpdate(new Y.Doc()))
one('a keystroke into an empty text', 1, d => d.getText('text').insert(0, 'a'))
{
  const d = doc(3_000_000_000)
  d.getText('text').insert(0, 'hello')
  add('a keystroke between two others', written(d, () => d.getText('text').insert(2, 'x'))[0])
  add('a deletion', written(d, () => d.getText('text').delete(1, 3))[0])
  add('the state after an insert and a deletion', Y.encodeStateAsUpdate(d))
}
one('emoji, a family of them and a lone surrogate', 2, d => d.getText('t').insert(0, 'a😀👩‍👩‍👧\ud83d!'))
one('a formatted text with embeds', 4, d => {
  const t = d.getText('t')
  t.insert(0, 'bold', { bold: true })
  t.insertEmbed(4, { image: 'https://example.org/?a=1', size: [1, 2.5, -3e-7], deep: { er: [null, true, 'é'] } })
  t.format(1, 2, { color: '#f00', bold: null })
})
one('a map of every plain value', 5, d => {
  const m = d.getMap('m')
  const values = { null: null, undefined, true: true, false: false, zero: 0, minusZero: -0, one: 1, minus: -64, big: 2 ** 31, bigger: 2 ** 53,
    half: 0.5, third: 1 / 3, nan: NaN, infinity: -Infinity, bigint: 2n ** 63n - 1n, text: 'ß', empty: '', bytes: new Uint8Array([0, 255]),
    list: [1, [2, [3, []]]], map: { a: { b: { c: {} } } } }
  for (const [key, value] of Object.entries(values)) m.set(key, value)
})
one('the map with an empty name, and keys that are not ASCII', 6, d => { d.getMap('').set('ключ', 1); d.getMap('').set('', 2); d.getMap('').set('__proto__', 3) })
{
  const d = doc(7)
  const us = written(d, () => { for (let i = 0; i < 5; i++) d.getMap('m').set('k', i) })
  add('a key overwritten', us[4])
  add('the state of a key overwritten five times', Y.encodeStateAsUpdate(d))
}
one('a list of values', 8, d => d.getArray('l').insert(0, [1, 'two', { three: 3 }, [4], null]))
one('bytes as content of their own', 9, d => d.getArray('l').insert(0, [new Uint8Array([1, 2, 3]), new Uint8Array()]))
one('every shared type inside a list', 10, d => {
  d.getArray('l').insert(0, [new Y.Array(), new Y.Map(), new Y.Text('in'), new Y.XmlElement('p'), new Y.XmlFragment(), new Y.XmlText('xml')])
})
one('shared types inside shared types', 11, d => {
  const inner = new Y.Map(); const list = new Y.Array(); const text = new Y.Text()
  d.getMap('m').set('a', inner); inner.set('b', list); list.insert(0, [text, 1]); text.insert(0, 'deep')
})
one('XML with attributes', 12, d => {
  const p = new Y.XmlElement('p'); const t = new Y.XmlText()
  d.getXmlFragment('page').insert(0, [p]); p.setAttribute('class', 'x'); p.insert(0, [t]); t.insert(0, 'hi', { em: { y: 1 } }); p.insert(1, [new Y.XmlElement('br')])
})
one('subdocuments', 13, d => {
  d.getMap('docs').set('a', new Y.Doc({ guid: 'a-guid', autoLoad: true, meta: { tags: ['x', null] } }))
  d.getArray('list').insert(0, [new Y.Doc({ guid: '', gc: false })])
})
{
  const d = doc(14); const t = d.getText('t')
  t.insert(0, 'forgotten'); d.getMap('m').set('list', new Y.Array()); d.getMap('m').get('list').insert(0, ['gone', 'too'])
  t.delete(2, 4); d.getMap('m').delete('list')
  add('deleted content that was collected', Y.encodeStateAsUpdate(d))
}
{
  const d = doc(15, { gc: false }); d.getText('t').insert(0, 'kept'); d.getText('t').delete(0, 4)
  add('deleted content that was kept', Y.encodeStateAsUpdate(d))
}
{
  const a = doc(16), b = doc(4_294_967_295), c = doc(18)
  for (const d of [a, b, c]) d.getText('t').insert(0, `from ${d.clientID}`)
  const all = [a, b, c].map(d => Y.encodeStateAsUpdate(d))
  for (const d of [a, b, c]) for (const u of all) Y.applyUpdate(d, u)
  b.getText('t').insert(7, 'between'); c.getText('t').delete(3, 6)
  const merged = Y.mergeUpdates([Y.encodeStateAsUpdate(b), Y.encodeStateAsUpdate(c)])
  add('three clients merged', merged)
  add('what one client misses of three', Y.diffUpdate(merged, Y.encodeStateVector(a)))
}
{
  const d = doc(19)
  const us = written(d, () => { for (const x of 'abcdefgh') d.getText('t').insert(d.getText('t').length, x) })
  add('a merge with a hole in the middle', Y.mergeUpdates([us[0], us[1], us[5], us[6]]))
  add('a merge with two holes and two clients', Y.mergeUpdates([us[1], us[4], us[7], Y.encodeStateAsUpdate(one('prepended text', 20, o => o.getText('t').insert(0, 'o')))]))
  const half = new Y.Doc()
  Y.applyUpdate(half, Y.mergeUpdates(us.slice(0, 3)))
  add('the second half of a client', Y.diffUpdate(Y.mergeUpdates(us), Y.encodeStateVector(half)))
  const late = new Y.Doc(); Y.applyUpdate(late, us[6]); Y.applyUpdate(late, us[2])
  add('a state with updates that wait for others', Y.encodeStateAsUpdate(late))
}
{
  const d = doc(21); const t = d.getText('t'); t.insert(0, 'undo me')
  const undo = new Y.UndoManager(t, { captureTimeout: 0 })
  t.insert(7, ' now'); t.format(0, 4, { i: true }); const us = written(d, () => { undo.undo(); undo.redo() })
  add('an undo', us[0]); add('a redo', us[1])
}
{
  const d = doc(22); const t = d.getText('t'); t.insert(0, '😀😀')
  add('a split between two halves of an emoji', written(d, () => t.insert(1, '|'))[0])
  add('the state after such a split', Y.encodeStateAsUpdate(d))
}
one('a long text', 23, d => d.getText('t').insert(0, 'lorem ipsum '.repeat(20)))
// What Yjs can write and yrs reads differently: refused.
const refused = []
const refuse = (name, why, update) => { Y.decodeUpdate(update); refused.push({ name, why, hex: hex(update) }) }
{
  const d = doc(24); d.getXmlFragment('page').insert(0, [new Y.XmlHook('hook')])
  refuse('an XML hook', 'unknown shared type 5', Y.encodeStateAsUpdate(d))
}
{
  const e = encoding.createEncoder()
  for (const n of [1, 1, 25, 0, 2, 1]) encoding.writeVarUint(e, n)
  encoding.writeVarString(e, 'l'); encoding.writeVarUint(e, 2); encoding.writeVarString(e, '{"a":1}'); encoding.writeVarString(e, 'undefined'); encoding.writeVarUint(e, 0)
  refuse('JSON content of the first Yjs 13', 'unknown kind of block 0x02', encoding.toUint8Array(e))
}
{
  const d = doc(26); d.getText('t').insert(0, 'a', { x: '\ud800' })
  refuse('half a surrogate pair inside a format', 'JSON that not every reader takes', Y.encodeStateAsUpdate(d))
}
{
  const d = doc(27); d.getText('t').insert(0, 'a', { x: 2 ** 63 })
  refuse('an integer from 2^63 inside a format', 'JSON that not every reader takes', Y.encodeStateAsUpdate(d))
}
const line = c => '    ' + JSON.stringify(c)
writeFileSync(process.argv[2], `{\n  "about": "Updates that Yjs 13.6 wrote, with the ids that Y.decodeUpdate finds: client to [clock, length] pairs.",\n  "accepted": [\n${cases.map(line).join(',\n')}\n  ],\n  "refused": [\n${refused.map(line).join(',\n')}\n  ]\n}\n`)
