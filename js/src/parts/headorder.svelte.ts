/** Which scores are shown, and which heads in which order: what the reader sets about a grid of heads. */
import type { NdArray } from '../wire';
import { ranked, rolePairs, scoresOf, type Order, type RolesJson, type Score } from './headscores';

/** What there is to choose from. */
export interface Choices {
  names: string[];
  /** Of the text that is open; undefined while they are on their way. */
  values: NdArray | undefined;
  /** Over all texts, where there are several. */
  over: { mean: NdArray | undefined; spread: NdArray | undefined } | null;
  roles: RolesJson | null;
  /** What heads of the open text read from role to role. */
  roleWeights: NdArray | undefined;
}

export class HeadOrder {
  /** Id of the score that heads are ranked and filtered by; "" for none. */
  by = $state('');
  order = $state<Order>('down');
  limit = $state<number>();
  /** The first token counts. */
  first = $state(true);
  /** Mean over all texts, where there are several. */
  overTexts = $state(true);
  /** Heads as points by two scores. */
  finder = $state(false);
  /** Their ids, once they are chosen. */
  across = $state('');
  up = $state('');

  #given: () => Choices;
  scores = $derived.by((): Score[] => {
    const { names, values, over } = this.#given();
    return over && this.overTexts
      ? scoresOf(names, over.mean, over.spread, this.first)
      : scoresOf(names, values, undefined, this.first);
  });
  pairs = $derived.by((): Score[] => {
    const { roles, roleWeights } = this.#given();
    if (!roles) return [];
    return this.overTexts ? rolePairs(roles, roles.mean, roles.spread) : rolePairs(roles, roleWeights, null);
  });
  all = $derived([...this.scores, ...this.pairs]);
  score = $derived(this.all.find(({ id }) => id === this.by));
  /** Heads in the order of the score, or in their places but without those beyond the limit; undefined for all. */
  shown = $derived(this.score && ranked(this.score, this.order, this.limit));
  /** Heads leave their places. */
  ranks = $derived(this.score !== undefined && this.order !== 'place');

  constructor(given: () => Choices) {
    this.#given = given;
  }

  /** As it is written; what is no number is no limit. */
  setLimit(text: string): void {
    const value = Number.parseFloat(text.replace(',', '.').replace('\u2212', '-'));
    this.limit = Number.isNaN(value) ? undefined : value;
  }

  turn(): void {
    this.order = this.order === 'down' ? 'up' : this.order === 'up' ? 'place' : 'down';
  }

  /** What heads are drawn by: as it was chosen, else scores of which there are numbers here. */
  axes = $derived.by((): [across: Score | undefined, up: Score | undefined] => {
    const usual = this.all.filter(hasNumbers);
    const chosen = (id: string) => this.all.find((score) => score.id === id);
    const x = chosen(this.across) ?? usual.find(({ id }) => id === 'previous') ?? usual[0] ?? this.all[0];
    const rest = usual.filter((score) => score !== x);
    return [x, chosen(this.up) ?? rest.find(({ id }) => id === 'induction') ?? rest[0] ?? x];
  });
}

/** Some head has this score: without a token that comes twice none has one for inductions. */
export function hasNumbers({ values }: Score): boolean {
  return values.some((value) => !Number.isNaN(value));
}
