/** What a rotation does to whoever looks at files meanwhile. */

/** A rotation came between a look at a folder and what was made of it: who looks again sees what there is by now. */
export class Stirred extends Error {}

/** Looks that rotations may come into, one after another, before there are other things to do. */
export const stirsMax = 20;

/** Looks again where a rotation came in between, until there are other things to do. */
export async function unlessStirred(look: () => Promise<void>): Promise<void> {
  for (let attempt = 0; attempt < stirsMax; attempt++) {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof Stirred)) throw error;
    }
  }
}
