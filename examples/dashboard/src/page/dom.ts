export function byId(id: string): HTMLElement {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`The page has no element '${id}'`)
  return element
}

/** Writes only text that has changed, so that a screen reader does not read the same text again. */
export function setText(id: string, text: string): void {
  const element = byId(id)
  if (element.textContent !== text) element.textContent = text
}

export function update(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}

export function create<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className = '',
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name)
  element.className = className
  element.textContent = text
  return element
}

/** Keeps one child element for each item, by its key, so that the focus stays where it is. */
export function keyed<T>(
  list: HTMLElement,
  items: readonly T[],
  keyOf: (item: T) => string,
  make: () => HTMLElement,
  show: (element: HTMLElement, item: T) => void,
): void {
  const known = new Map([...list.children].map((child) => [(child as HTMLElement).dataset.key, child]))
  for (const [index, item] of items.entries()) {
    const key = keyOf(item)
    const element = (known.get(key) as HTMLElement | undefined) ?? make()
    known.delete(key)
    element.dataset.key = key
    show(element, item)
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null)
  }
  for (const left of known.values()) left.remove()
}

export function part(element: Element, selector: string): HTMLElement {
  const found = element.querySelector<HTMLElement>(selector)
  if (found === null) throw new Error(`No ${selector} in this element`)
  return found
}
